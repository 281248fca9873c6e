{
 "dsseEnvelope": {
  "payload": {
   "_type": "https://in-toto.io/Statement/v1",
   "predicate": {
    "resources": [
     {
      "algorithm": "sha256",
      "digest": "4c9e949446407552fd908c41f137215150f960cbf35665f1b24eb9ca3e632c98",
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
      "sha256": "69433544f31b4ee7c9bfcc4b501399260c11b9f0f3c9995c4a77201a9bea5fbb"
     },
     "name": "4c9e949446407552fd908c41f137215150f960cbf35665f1b24eb9ca3e632c98"
    }
   ]
  },
  "payloadType": "application/vnd.in-toto+json",
  "signatures": [
   {
    "keyid": "",
    "sig": "MEYCIQCYHP+0SnoInISgol0NmG7qI29d65QGcXmBejxbc65XlwIhAPWqoCuvVIL2wf/eTVFSW05INbba40rjma10p+B63zoD"
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
