"""One module per noun: paths, parameters and what is answered. What is done is the services' business."""
