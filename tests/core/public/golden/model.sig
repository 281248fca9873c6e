{
 "dsseEnvelope": {
  "payload": {
   "_type": "https://in-toto.io/Statement/v1",
   "predicate": {
    "resources": [
     {
      "algorithm": "sha256",
      "digest": "f459a2689b3a3e35a7c2d4cc072e837ff5909f01566d466b17d7d8a452c5c0d3",
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
      "sha256": "d22ebc65800974746c307c971aaa72e0cc5925b50ae7c5d17924743a76f1b011"
     },
     "name": "f459a2689b3a3e35a7c2d4cc072e837ff5909f01566d466b17d7d8a452c5c0d3"
    }
   ]
  },
  "payloadType": "application/vnd.in-toto+json",
  "signatures": [
   {
    "keyid": "",
    "sig": "MEYCIQD6MjX9FBnGW+/2X7O+rV/KnRc8mUxoJglYhYnDuIw4PAIhANdALUEllj52PdbB/ZeOqJy38Lzf34b8+NIH0/yeCIH7"
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
