"""How the pipeline is, for people and Prometheus: health, metrics read from its state, scraped and pushed."""
