"""The message bus over nng: publisher and subscriber. The layout of a message is in feedbus.schema.codec."""
