"""What differs from site to site. Readable for httpd's user and the workers, and nobody else."""

SECRET_KEY = "choose some fifty random characters of your own"
ALLOWED_HOSTS = ["*"]

# What is written goes to the first one; the second one replicates it.
PRIMARY = {"HOST": "db1.example.com", "PORT": 3306}
REPLICA = {"HOST": "db2.example.com", "PORT": 3306}
DATABASE = {"NAME": "shop", "USER": "shop", "PASSWORD": "shop-secret"}

BROKER_URL = "amqp://shop:shop-secret@mq.example.com:5672/shop"
