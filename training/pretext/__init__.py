"""The pretext task of section III-B: normalised input, two views, the losses between them."""
