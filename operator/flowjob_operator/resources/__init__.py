"""What the operator's kinds look like: pure models, from which CRDs and their reference are generated."""
