"""Google Drive: a recording dropped into a watched folder is answered beside it."""
