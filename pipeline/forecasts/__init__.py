"""What requests will use before they are sent, from samples, with intervals."""
