"""Everything that knows Airflow: what the DAG's tasks do, the sensor that waits for a job, and its trigger."""
