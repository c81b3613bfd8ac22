"""Files of the field's formats, recognised and streamed."""
