"""CloudFormation creates saved queries of CloudWatch Logs Insights.

AWS: AWS::Logs::QueryDefinition saves a query.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-querydefinition.html

ministack: it has neither the resource type nor saved queries, so the stack cannot be
deployed.

The patch: the resource type is accepted, and its Ref is a new id. The query is not saved.
"""
import uuid

from ministack.services.cloudformation import provisioners

from ..patch import Patch, Target

RESOURCE_TYPE = "AWS::Logs::QueryDefinition"
REQUIRED = ("Name", "QueryString")


def is_needed() -> bool:
    return RESOURCE_TYPE not in provisioners._RESOURCE_HANDLERS


def check(props) -> None:
    for name in REQUIRED:
        if not props.get(name):
            raise ValueError(f"{name} is required for {RESOURCE_TYPE}")


def create(logical_id, props, stack_name):
    check(props)
    query_id = str(uuid.uuid4())
    return query_id, {"QueryDefinitionId": query_id}


def update(physical_id, old_props, new_props, stack_name):
    check(new_props)
    return physical_id, {"QueryDefinitionId": physical_id}


def delete(physical_id, props) -> None:
    """Nothing is stored."""


def apply(environment) -> None:
    provisioners._RESOURCE_HANDLERS[RESOURCE_TYPE] = {"create": create, "update": update, "delete": delete}


PATCH = Patch("query_definitions", (Target(provisioners, "_RESOURCE_HANDLERS"),), is_needed, apply)
