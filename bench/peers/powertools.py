"""Powertools for AWS Lambda: its batch processor and its idempotency, one record after the other.

The idempotency record in the jobs table holds the result, so that there is no
further write. Its key is Powertools' own, made of the function and the job's id.
"""
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from idempotent import CONFIG, analyse_once

# A batch of which every record failed is answered as any other.
PROCESSOR = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def work(record: SQSRecord) -> None:
    analyse_once(job=record.json_body, attempt=record.attributes.approximate_receive_count)


def handler(event: dict, context) -> dict:
    CONFIG.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=work, processor=PROCESSOR, context=context)
