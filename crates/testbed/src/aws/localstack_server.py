"""Runs LocalStack with two departures from AWS KMS mended: one lets a wrong client pass, the other stops a right one."""

import json
import os

from ending import end_with_parent

end_with_parent()

from localstack import config  # noqa: E402

# It would make /etc/localstack and /var/lib/localstack.
for name, path in vars(config.dirs).items():
    if path and not path.startswith(os.environ["FILESYSTEM_ROOT"]):
        setattr(config.dirs, name, os.environ["FILESYSTEM_ROOT"] + path)

from localstack.aws.api import handler  # noqa: E402
from localstack.services.kms import models, provider  # noqa: E402


def whole_context(encryption_context=None):
    """AWS binds each name and each value; LocalStack binds them run together, so that {a: bc} opens what {ab: c} closed."""
    return json.dumps(sorted((encryption_context or {}).items())).encode()


@handler("GenerateDataKey", expand=False)
def generate_data_key(self, context, request):
    """LocalStack's data keys have 32 bytes, whatever NumberOfBytes says."""
    account_id, region, key_id = self._parse_key_id(request["KeyId"], context)
    key = self._get_kms_key(account_id, region, key_id)
    self._validate_key_for_encryption_decryption(context, key)
    plaintext = os.urandom(request.get("NumberOfBytes") or 32)
    ciphertext = key.encrypt(plaintext, request.get("EncryptionContext"))
    return {"KeyId": key.metadata["Arn"], "Plaintext": plaintext, "CiphertextBlob": ciphertext}


models._serialize_encryption_context = whole_context
provider.KmsProvider.generate_data_key = generate_data_key

from localstack.runtime.main import main  # noqa: E402

main()
