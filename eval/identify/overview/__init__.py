"""Overview: the page that shows what `identify` found in one file or in several."""
