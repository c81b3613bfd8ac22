"""Maps of embeddings: points with colours and labels, as a web page and as a picture."""
