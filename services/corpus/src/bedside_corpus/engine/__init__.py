"""How documents flow from files to the corpus, in as many processes as there are; read `build`."""
