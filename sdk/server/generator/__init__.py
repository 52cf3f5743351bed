"""What sdk/server/generate.py is made of: the document, as it is read, and a writer for each language."""
