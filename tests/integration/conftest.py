"""The servers that locations are tried on, one of each kind for a module."""

import gc
import warnings
from collections.abc import Iterator

import pytest

from deploy.parts.certificates import self_signed
from deploy.parts.gateway import Gateway, running_gateway
from deploy.parts.sshd import SftpServer, running_sshd
from deploy.parts.vsftpd import FtpsServer, running_vsftpd


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def ftps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpsServer]:
    folder = tmp_path_factory.mktemp("vsftpd")
    with running_vsftpd(folder, self_signed(folder)) as server:
        yield server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture
def no_socket_left() -> Iterator[None]:
    """Broken sockets go here, not in a test that comes later."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
