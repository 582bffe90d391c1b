"""The command line: thin verbs over the rooms below. Heavy rooms are imported by the verb that needs them."""
