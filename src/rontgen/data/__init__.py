"""From archives to arrays: bringing, checking, listing, splitting, decoding and balancing images."""
