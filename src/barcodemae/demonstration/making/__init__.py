"""How the demonstration set is made: candidates, references, queries, decoys, files."""
