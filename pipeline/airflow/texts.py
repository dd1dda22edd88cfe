"""What the DAG and each of its tasks say of themselves in Airflow's pages, in Markdown."""

DAG = """
### Document analysis

Reads the new and changed documents below `source`, asks the model about each of them by Amazon Bedrock's batch
inference, and publishes one Iceberg table per analysis, with `documents`, `failures`, `ledger` and `runs`.

* A run: `forecast` → `approve` → `start` → `shards` → `round_0` → `round_1` → … → `fold` → `publish`
* A round: `prepare` (per shard) → `plan` → `batch` (per job)
* A batch: `submit` → `wait` → `collect`

What to know of it:

* **Nightly** it takes everything from the settings (`DOCBATCH_…`, `docbatch.toml`). **Triggered by hand**, the form's
  Params stand above them; with `dry_run` it says what it would cost and ends.
* **Every task may be cleared alone, in any order, as often as you like.** All state lies in S3 under the run's key;
  a task that finds its work done reads what it came to. No job is started twice, and no answer is paid twice.
* **A failed run goes on** when its failed tasks are cleared, or from any terminal with `docbatch resume KEY`.
* **Jobs wait in the pool `docbatch_jobs`**, which must count deferred tasks. Where it is missing, `submit` stays
  *scheduled*, and the scheduler's log says why: make it with `python -m pipeline.airflow.setting_up`.
"""

FORECAST = """
Checks every Param, the prompts, the model and the places, before anything is listed or sent. What is wrong is told in
one sentence that says what is allowed; repeating cannot help then.

With `dry_run` it reads the documents (of many, a sample), logs what `docbatch plan` prints, and skips what follows.
Its XCom has the figures. Without, it reads no document.
"""

APPROVE = """
Goes on at once where the forecast is at most `DOCBATCH_APPROVAL_ABOVE_USD`, or that is not set. Above it, or where the
price is unknown, it waits for a person, who sees the forecast under *Required Actions*. **Refused,** or not answered
within `DOCBATCH_APPROVAL_HOURS`, the run fails here, with nothing sent. **Cleared:** asks again.
"""

START = """
Lists the source beside what the output holds, and fixes what the run intends: documents by shard, prompts, model,
prices, budgets. What did not change since an earlier run is left out. **Cleared:** a run that was begun stays as it is.
"""

SHARDS = "The numbers of the run's shards, 1 to 256 of them; `prepare` and `fold` have a task for each."

PREPARE = """
Reads the documents of one shard and writes their requests; in a later round, those that are still owed an answer.
**When one shard fails for good,** the others go on to their end and the round's `plan` waits: clear the failed shard,
and the run goes on. Nothing was sent so far. **Cleared:** a shard that was prepared is not read again.
"""

PLAN = """
Leaves out what is known or on its way in another run, forms the batches of the round, and holds its forecast against
the budgets. **Above a budget the first round fails here,** with nothing sent and the ways out in its log. A round in
which nothing is owed has no batches, and its group is skipped. **Cleared:** reads the plan that was made.
"""

SUBMIT = """
Starts one Bedrock job; a batch below Bedrock's minimum of records is asked on demand. While as many jobs are in flight
as may be, it defers. **Cleared, killed or run twice at once:** there is one job, which it finds by its name and token.
"""

WAIT = """
Deferred until the job has ended, however it ended: what it left is read by `collect`. Holds no worker. **Cleared:**
looks again.
"""

COLLECT = """
Turns the output of one job into outcomes: answers, failures with a reason, and records that are missing. Answers are
kept for every later run. **Cleared:** reads what was collected.
"""

FOLD = """
Stages the rows of one shard for every table. What is owed after the last round becomes a failure with a reason.
**Cleared:** stages the same bytes again.
"""

PUBLISH = """
Checks that every document ended once in every analysis and every token is in the ledger, then makes the run visible,
`runs` last. Each table that has new rows gets an asset event with run, rows, tokens and cost. **Cleared:** completes
what was broken off; of a published run it changes nothing and adds no row twice, but repeats the events.
"""

BATCH = "One Bedrock job from its start to its outcomes."
ROUND = "Ask for what is owed; what is then still owed is the next round."
