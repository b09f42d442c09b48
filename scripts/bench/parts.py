"""Names of the parts of a training step, for those who measure them and those who show them."""

SPARSE = "sparse layers"
ATTENTION = "attention"
NORMS = "norms"
ACTIVATION = "activation"
READOUT = "readout, loss"
OPTIMIZER = "optimizer, clipping"
REST = "rest"

PARTS = (SPARSE, ATTENTION, NORMS, ACTIVATION, READOUT, OPTIMIZER, REST)
