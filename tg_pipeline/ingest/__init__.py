"""From a history read page by page to committed day files: what to read, in which order, and how to know it is all."""
