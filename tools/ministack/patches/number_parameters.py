"""Numbers of template parameters become numbers in an event source mapping.

AWS: a `!Ref` to a parameter of type Number is text inside the template.
CloudFormation converts it to the type of the property, here `BatchSize` and
`MaximumConcurrency`.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html

ministack: the property stays text. Its SQS poller then compares text with a
number, which raises TypeError, and never polls the mapping.

The patch: decimal text in the properties of an event source mapping becomes an
integer, before the mapping is created or updated.
"""
from ministack.services import lambda_svc
from ministack.services.cloudformation import engine, provisioners

from ..patch import Patch, PatchError, Target

RESOURCE_TYPE = "AWS::Lambda::EventSourceMapping"


def convert_numbers(value):
    """The value with decimal text as integers, also inside mappings."""
    if isinstance(value, dict):
        return {key: convert_numbers(inner) for key, inner in value.items()}
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def is_needed() -> bool:
    handlers = provisioners._RESOURCE_HANDLERS.get(RESOURCE_TYPE, {})
    if handlers.get("create") is not provisioners._lambda_esm_create:
        raise PatchError(f"{RESOURCE_TYPE} is not created by _lambda_esm_create")
    if handlers.get("update") is not provisioners._lambda_esm_update:
        raise PatchError(f"{RESOURCE_TYPE} is not updated by _lambda_esm_update")
    template = {"Parameters": {"Limit": {"Type": "Number", "Default": 20}}}
    parameters = engine._resolve_parameters(template, [])
    limit = engine._resolve_refs({"Ref": "Limit"}, {}, parameters, {}, {}, "", "")
    concurrency = lambda_svc._sqs_esm_concurrency({"ScalingConfig": {"MaximumConcurrency": limit}}, {}, {})
    return isinstance(concurrency, str)


def apply(environment) -> None:
    handlers = provisioners._RESOURCE_HANDLERS[RESOURCE_TYPE]
    create, update = handlers["create"], handlers["update"]

    def create_with_numbers(logical_id, props, stack_name):
        return create(logical_id, convert_numbers(props), stack_name)

    def update_with_numbers(physical_id, old_props, new_props, stack_name):
        return update(physical_id, convert_numbers(old_props), convert_numbers(new_props), stack_name)

    handlers |= {"create": create_with_numbers, "update": update_with_numbers}


PATCH = Patch(
    "number_parameters",
    (
        Target(provisioners, "_RESOURCE_HANDLERS"),
        Target(provisioners, "_lambda_esm_create", ("logical_id", "props", "stack_name")),
        Target(provisioners, "_lambda_esm_update", ("physical_id", "old_props", "new_props", "stack_name")),
        Target(engine, "_resolve_parameters", ("template", "provided_params", "previous_params")),
        Target(
            engine,
            "_resolve_refs",
            ("value", "resources", "params", "conditions", "mappings", "stack_name", "stack_id"),
        ),
        Target(lambda_svc, "_sqs_esm_concurrency", ("esm", "func_rec", "config", "queue")),
    ),
    is_needed,
    apply,
)
