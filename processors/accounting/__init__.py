"""The account of a moment: computed from every post, written once the moment has settled."""
