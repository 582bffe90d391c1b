"""The one place that turns settings into plain objects and joins the rooms."""
