"""Does the optimum stay put? Estimates, drift, regret, figures and pages, from records alone."""
