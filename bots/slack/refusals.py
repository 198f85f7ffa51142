"""Slack's error codes, and what people are told: the sharer what was refused, the operator what is denied.

Codes are those of Slack's method reference. Sentences say what happened and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_INVITE = "Invite the app there (type /invite and the app's name), then share the recording again."
_ADMIN = "Ask an admin of your workspace to allow it, or share the recording in another channel."
_AGAIN = "Share the recording again to get an answer."

_NO_CONVERSATION = f"The app can't reach this conversation. {_INVITE}"
_NO_MESSAGE = f"The message that the answer belongs to was deleted. {_AGAIN}"
_NO_FILE = f"This file was deleted, or it was shared where the app is not a member. {_INVITE}"
_FILE_DELETED = "This file was deleted before it could be read. Share it again to have it transcribed."
_NO_PERSON = "This person is not in the workspace (any more), or the app can't see them."

GONE: Final[Mapping[str, str]] = {
    "channel_not_found": _NO_CONVERSATION,
    "invalid_channel": _NO_CONVERSATION,
    "not_in_channel": f"The app is not a member of this channel. {_INVITE}",
    "team_not_found": _NO_CONVERSATION,
    "message_not_found": _NO_MESSAGE,
    "thread_not_found": _NO_MESSAGE,
    "file_not_found": _NO_FILE,
    "files_not_found": _NO_FILE,
    "not_visible": _NO_FILE,
    "file_deleted": _FILE_DELETED,
    "file_is_deleted": _FILE_DELETED,
    "user_disabled": _NO_PERSON,
    "user_not_found": _NO_PERSON,
    "users_not_found": _NO_PERSON,
    "user_not_visible": _NO_PERSON,
    "user_not_in_channel": "This person is not in the conversation (any more).",
    "no_such_subteam": "This user group does not exist (any more). Tell whoever runs the app.",
}

_NO_POSTING = f"The settings of your workspace don't let apps post in this channel. {_ADMIN}"
_NO_FILES = f"The settings of your workspace don't let the app put transcript files here. {_ADMIN}"
_NO_CONNECT = (
    "This conversation is shared with another organisation, whose settings don't allow files here. "
    "Share the recording in a channel of your own workspace."
)
_ARCHIVED = "This channel is archived, so nothing can be posted in it. Share the recording in another one."
_NO_EDITING = f"Slack does not let the app change its message here any more. {_AGAIN}"
_NO_DELETING = "Slack does not let the app delete this. Ask an admin of your workspace to do it."

REFUSED: Final[Mapping[str, str]] = {
    "is_archived": _ARCHIVED,
    "is_inactive": _ARCHIVED,
    "channel_is_archived": _ARCHIVED,
    "channel_is_frozen": _ARCHIVED,
    "cannot_reply_to_message": "Slack allows no replies to this message. Share the recording by itself.",
    "cant_update_message": _NO_EDITING,
    "edit_window_closed": _NO_EDITING,
    "cant_delete_message": _NO_DELETING,
    "cant_delete_file": _NO_DELETING,
    "compliance_exports_prevent_deletion": _NO_DELETING,
    "delete_not_allowed": _NO_DELETING,
    "file_deleting_disabled": _NO_DELETING,
    "restricted_action": _NO_POSTING,
    "restricted_action_read_only_channel": _NO_POSTING,
    "restricted_action_thread_only_channel": _NO_POSTING,
    "restricted_action_non_threadable_channel": f"There are no threads in this channel. {_ADMIN}",
    "restricted_action_thread_locked": f"An admin has locked this thread. {_ADMIN}",
    "action_prohibited": _NO_POSTING,
    "posting_to_channel_denied": _NO_POSTING,
    "posting_to_general_channel_denied": _NO_POSTING,
    "channel_is_limited_access": _NO_POSTING,
    "messages_tab_disabled": (
        "Direct messages to the app are switched off. Share the recording in a channel, or ask whoever runs "
        "the app to switch on its Messages Tab."
    ),
    "method_not_supported_for_channel_type": (
        "Slack does not offer this in this kind of conversation. Share the recording in a channel."
    ),
    "cannot_dm_bot": "This is a conversation with another app, where nothing can be posted.",
    "blocked_file_type": _NO_FILES,
    "file_type_not_allowed": _NO_FILES,
    "file_upload_size_restricted": _NO_FILES,
    "file_uploads_disabled": _NO_FILES,
    "file_uploads_except_images_disabled": _NO_FILES,
    "file_share_limit_reached": _NO_FILES,
    "max_file_sharing_exceeded": _NO_FILES,
    "storage_limit_reached": (
        "The file storage of your workspace is full, so the transcript can't be put here. Ask an admin to "
        f"make room. {_AGAIN}"
    ),
    "slack_connect_blocked_file_type": _NO_CONNECT,
    "slack_connect_clip_sharing_blocked": _NO_CONNECT,
    "slack_connect_file_link_sharing_blocked": _NO_CONNECT,
    "slack_connect_file_upload_sharing_blocked": _NO_CONNECT,
    "plan_upgrade_required": "The plan of your workspace does not include this. Tell whoever runs the app.",
}

_EXPIRED = "That took too long for Slack, or it has changed meanwhile. Please try again."

TOO_LATE: Final[Mapping[str, str]] = {
    "exchanged_trigger_id": _EXPIRED,
    "expired_trigger_id": _EXPIRED,
    "expired_url": _EXPIRED,
    "hash_conflict": _EXPIRED,
    "invalid_trigger_id": _EXPIRED,
    "not_found": _EXPIRED,
    "trigger_expired": _EXPIRED,
    "used_url": _EXPIRED,
    "view_not_found": _EXPIRED,
}

_TOKEN = "Check SLACK_BOT_TOKEN, or install the app again"  # noqa: S105  (a sentence)

DENIED: Final[Mapping[str, str]] = {
    "not_authed": f"Slack was asked without a token. {_TOKEN}.",
    "invalid_auth": f"Slack does not accept the token, or not from this network. {_TOKEN}.",
    "account_inactive": "The Slack workspace or the app's bot user was deactivated. Install the app again.",
    "token_revoked": "The Slack app was uninstalled, or its token revoked. Install the app again.",
    "token_expired": "The token for Slack has expired and was not renewed. Install the app again.",
    "not_allowed_token_type": f"This kind of token is not for apps like this one. {_TOKEN}.",
    "org_login_required": "Slack is moving this workspace to another organisation. Wait until that is done.",
    "team_access_not_granted": "The app is not allowed in this workspace. Ask an admin of the organisation.",
    "no_permission": (
        "The Slack app has no permission for this here. Invite it to the conversation, or have an admin of "
        "the workspace allow it."
    ),
    "access_denied": "Slack denies the app access to this. An admin of the workspace can allow it.",
    "ekm_access_denied": "Admins of the Slack workspace have suspended posting (key management).",
    "accesslimited": "The Slack workspace limits access to other networks than this one. Ask its admin.",
    "enterprise_is_restricted": "This can't be done for an organisation. Install the app in the workspace.",
    "two_factor_setup_required": "Slack wants two-factor authentication to be set up in this workspace.",
    "not_enabled": "The Slack app has no Home tab. Switch on Home Tab on the app's page App Home.",
}
