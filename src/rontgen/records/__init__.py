"""Records of runs on real X-rays: made, kept, checked and compared."""
