"""Powertools for AWS Lambda: its batch processor and its idempotency, one record after the other.

The idempotency record in the jobs table contains the result, so the peer needs no
further write. Powertools builds its key of the function's name and the job id.
"""
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from idempotent import CONFIG, analyse_once

# A batch whose records all failed gets a normal batch response, too.
PROCESSOR = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def process_record(record: SQSRecord) -> None:
    analyse_once(job=record.json_body, attempt=record.attributes.approximate_receive_count)


def handler(event: dict, context) -> dict:
    CONFIG.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=process_record, processor=PROCESSOR, context=context)
