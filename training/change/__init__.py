"""Change between two years without training: the protocol of RotCrop (section IV-B2, Table IV)."""
