"""The backend of the routing platform: predictions, training, data quality."""
