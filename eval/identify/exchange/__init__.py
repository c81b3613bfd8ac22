"""Exchange: identifications in the formats that other programs and databases take."""
