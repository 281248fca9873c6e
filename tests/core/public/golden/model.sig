{
 "dsseEnvelope": {
  "payload": {
   "_type": "https://in-toto.io/Statement/v1",
   "predicate": {
    "resources": [
     {
      "algorithm": "sha256",
      "digest": "6c573e992d8cf46cb2ac6c94a97e1b94e50ad9d85fa07d2ed1deccb2f6103c60",
      "name": "manifest.json"
     },
     {
      "algorithm": "sha256",
      "digest": "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c",
      "name": "model.safetensors"
     },
     {
      "algorithm": "sha256",
      "digest": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
      "name": "tokenizer/tokenizer.json"
     }
    ],
    "serialization": {
     "allow_symlinks": false,
     "hash_type": "sha256",
     "ignore_paths": [],
     "method": "files"
    }
   },
   "predicateType": "https://model_signing/signature/v1.0",
   "subject": [
    {
     "digest": {
      "sha256": "87966764949c66689ecfe0b06cc29d28622c4b52c1411566b6c9f07283bb2b08"
     },
     "name": "6c573e992d8cf46cb2ac6c94a97e1b94e50ad9d85fa07d2ed1deccb2f6103c60"
    }
   ]
  },
  "payloadType": "application/vnd.in-toto+json",
  "signatures": [
   {
    "keyid": "",
    "sig": "MEUCIQDxdlIw6ZevGKLrhyCNR0k9emSgomWTRvDsS1z7urfTBAIgQagUnNE1doERrLJ6yhEG9FOkUpxR6JCBRQu9K3EQYlw="
   }
  ]
 },
 "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
 "verificationMaterial": {
  "publicKey": {
   "hint": "f80c0610cdc4afa3ee6609d04992d64759728a973b38edeaa3f7b5ef1aa2baf2"
  },
  "tlogEntries": []
 }
}
