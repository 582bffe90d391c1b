"""help.*: where the data centres are."""

from datetime import UTC, datetime, timedelta

from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.methods.registry import Call, handles

CONFIG_LIFETIME = timedelta(hours=1)


@handles(functions.help.GetConfigRequest, anonymous=True)
def get_config(call: Call) -> object:
    """The addresses of all data centres and Telegram's published limits."""
    now = datetime.fromtimestamp(call.now, UTC)
    return tl.Config(
        date=now,
        expires=now + CONFIG_LIFETIME,
        test_mode=False,
        this_dc=call.connection.dc_id,
        dc_options=[tl.DcOption(dc_id, call.server.host, port) for dc_id, port in call.server.ports.items()],
        dc_txt_domain_name="",
        chat_size_max=200,
        megagroup_size_max=200_000,
        forwarded_count_max=100,
        online_update_period_ms=210_000,
        offline_blur_timeout_ms=5_000,
        offline_idle_timeout_ms=30_000,
        online_cloud_timeout_ms=300_000,
        notify_cloud_delay_ms=30_000,
        notify_default_delay_ms=1_500,
        push_chat_period_ms=60_000,
        push_chat_limit=2,
        edit_time_limit=172_800,
        revoke_time_limit=2_147_483_647,
        revoke_pm_time_limit=2_147_483_647,
        rating_e_decay=2_419_200,
        stickers_recent_limit=200,
        channels_read_media_period=604_800,
        call_receive_timeout_ms=20_000,
        call_ring_timeout_ms=90_000,
        call_connect_timeout_ms=30_000,
        call_packet_timeout_ms=10_000,
        me_url_prefix="https://t.me/",
        caption_length_max=1_024,
        message_length_max=4_096,
        webfile_dc_id=call.connection.dc_id,
    )


@handles(functions.help.GetNearestDcRequest, anonymous=True)
def get_nearest_dc(call: Call) -> object:
    """The data centre that was asked."""
    return tl.NearestDc(country="NL", this_dc=call.connection.dc_id, nearest_dc=call.connection.dc_id)
