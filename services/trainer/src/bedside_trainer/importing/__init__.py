"""A base model from outside: found, judged by what later steps need, made canonical, proved."""
