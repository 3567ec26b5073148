path "secret/data/synap/api-key" {
  capabilities = ["read", "update"]
}
path "secret/data/synap/api-key-pending" {
  capabilities = ["create", "read", "update"]
}
path "secret/metadata/synap/api-key-pending" {
  capabilities = ["delete"]
}
