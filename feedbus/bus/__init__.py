"""The message bus over nng: publisher and subscriber. feedbus.schema.codec defines the layout of a message."""
