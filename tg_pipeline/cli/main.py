"""`tg-pipeline`: one group of verbs, one way to fail.

Exit codes: 0 done; 1 something is wrong with the archive, or trying again later may help; 2 bad input, or a person must
act; 130 and 143 interrupted by Ctrl-C or SIGTERM.
"""

import sys
from collections.abc import Sequence

import click

from tg_pipeline.cli import chats, commands, demo, events, fetch, login, send, serve, simulate, status, up, verify
from tg_pipeline.cli.options import echo
from tg_pipeline.cli.running import Terminated
from tg_pipeline.contracts.errors import TRY_LATER, TgPipelineError
from tg_pipeline.contracts.text import printable_lines
from tg_pipeline.machine.garbage_collection import end_quickly
from tg_pipeline.observability.console import print_any_text


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tg-pipeline")
def cli() -> None:
    """Collect Telegram chats as daily, complete, schema-versioned JSON files.

    Settings come from the environment or .env; .env.example lists them.
    Start with `tg-pipeline login`, then `tg-pipeline chats add @name`, then `tg-pipeline fetch @name --from DATE`.
    """


_VERBS = (
    *(login.login, chats.chats, fetch.fetch, verify.verify),
    *(up.up, send.send, commands.commands, events.events),
    *(status.status, serve.serve),
    *(simulate.simulate, demo.demo),
)
for verb in _VERBS:
    cli.add_command(verb)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb; turn what the project raises on purpose into a sentence and an exit code.

    `arguments` are those of this process if left out. Returns after success, otherwise raises SystemExit.
    """
    end_quickly()
    print_any_text()
    try:
        _set_up_process()
        cli.main(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.message = printable_lines(error.message)  # type: ignore[misc] # final, and shown raw
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Terminated:
        sys.exit(143)
    except BrokenPipeError:
        sys.exit(1)
    except TgPipelineError as error:
        echo(f"tg-pipeline: {error}", err=True)
        sys.exit(1 if isinstance(error, TRY_LATER) else 2)


def _set_up_process() -> None:
    from tg_pipeline.app.process import keep_logs
    from tg_pipeline.observability.logs import log_to
    from tg_pipeline.settings import load_settings, restrict_new_files

    try:
        settings = load_settings()
    except TgPipelineError:
        log_to("stderr", "INFO", "auto")  # the verb that needs the settings says what is wrong with them
    else:
        keep_logs(settings)
        restrict_new_files(settings)


if __name__ == "__main__":
    main()
