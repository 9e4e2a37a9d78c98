# The certificates of a control plane for a test, into the current folder: three authorities and their leaves.
set -e
openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
ca() {
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.crt" -days 2 -subj "/CN=$1" \
    -addext "basicConstraints=critical,CA:true" -addext "keyUsage=critical,keyCertSign,cRLSign,digitalSignature" 2>/dev/null
}
leaf() { # authority, name, subject, alternative names
  openssl req -newkey rsa:2048 -nodes -keyout "$2.key" -out "$2.csr" -subj "$3" 2>/dev/null
  printf "subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n" "$4" > "$2.ext"
  openssl x509 -req -in "$2.csr" -CA "$1.crt" -CAkey "$1.key" -CAcreateserial -days 2 -out "$2.crt" -extfile "$2.ext" 2>/dev/null
}
ca ca
ca front-ca
ca keda-ca
names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,IP:10.77.2.2
leaf ca apiserver "/CN=kube-apiserver" "$names"
leaf ca admin "/O=system:masters/CN=admin" DNS:admin
leaf ca kubelet-client "/O=system:masters/CN=kube-apiserver-kubelet-client" DNS:x
leaf front-ca proxy-client "/CN=front-proxy-client" DNS:front-proxy-client
names=DNS:keda-operator.keda.svc,DNS:keda-operator,DNS:localhost,DNS:keda-metrics-apiserver.keda.svc
leaf keda-ca keda-leaf "/CN=keda-operator" "$names,DNS:keda-metrics-apiserver,IP:127.0.0.1"
mkdir -p keda
cp keda-ca.crt keda/ca.crt
cp keda-leaf.crt keda/tls.crt
cp keda-leaf.key keda/tls.key
