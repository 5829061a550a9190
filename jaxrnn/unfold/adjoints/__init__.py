"""How gradients are computed: one adjoint a file."""
