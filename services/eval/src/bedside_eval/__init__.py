"""Evidence and verdict: base, checkpoint and merged model sit the same exam, compared in pairs."""
