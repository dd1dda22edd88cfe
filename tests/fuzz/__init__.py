"""What reads bytes that others wrote, under a fuzzer: `make fuzz`, and as tests over the seeds."""
