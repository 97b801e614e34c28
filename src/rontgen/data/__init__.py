"""From archives to arrays: getting, checking, listing, splitting, decoding and balancing images."""
