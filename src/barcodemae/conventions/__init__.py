"""How the field writes letters and names, and how this package reads them."""
