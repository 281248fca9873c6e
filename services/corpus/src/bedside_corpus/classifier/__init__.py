"""Classifiers of documents: trained on labels, certified at a prevalence, run over a corpus."""
