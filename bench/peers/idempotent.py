"""Analyses each job once, by Powertools' idempotency with the jobs table."""
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function
from common import TABLE, TABLE_CLIENT, analyse

NINETY_DAYS = 90 * 24 * 3600

CONFIG = IdempotencyConfig(event_key_jmespath="job_id", expires_after_seconds=NINETY_DAYS)
STORE = DynamoDBPersistenceLayer(table_name=TABLE, key_attr="job_id", boto3_client=TABLE_CLIENT)


@idempotent_function(data_keyword_argument="job", config=CONFIG, persistence_store=STORE)
def analyse_once(job: dict, attempt: str) -> dict:
    return analyse(job, attempt)
